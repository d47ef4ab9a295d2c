"""Rules may be of the kind similar_losses."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policies', '0004_latches'),
    ]

    operations = [
        migrations.AlterField(
            model_name='rule',
            name='kind',
            field=models.CharField(choices=[('allowed_instrument', 'Instrument allowed'), ('restricted_list', 'Instrument not restricted'), ('allowed_order_types', 'Order type'), ('max_order_quantity', 'Quantity of this order'), ('max_order_notional', 'This order at its worst price'), ('min_notional', 'This order at its least'), ('price_collar', 'Price against the middle'), ('stale_quote', 'Age of the price'), ('funds', 'Balance needed, fee included'), ('max_position', 'Position, open orders filled'), ('max_gross_exposure', 'All positions together'), ('daily_notional', 'Traded today'), ('daily_loss', 'Lost today'), ('drawdown', 'Fall from the highest worth'), ('order_rate', 'Asked lately'), ('duplicate', 'Same ask lately'), ('similar_losses', 'Similar trades'), ('trading_state', 'Trading state'), ('approvals_required', 'Who must approve')], max_length=24),
        ),
    ]
